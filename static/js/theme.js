// The chosen theme, before the first paint. hub.js changes it.
{
  let theme = "";
  try {
    theme = localStorage.getItem("theme") ?? "";
  } catch {
    // A browser that keeps nothing follows the system.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
