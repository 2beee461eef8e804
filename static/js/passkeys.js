// Passkeys with allauth's scripts: the form holds their data in attributes; errors are shown above the form.

const ADDRESS = "Passkeys need a host name and https (or http://localhost): open the hub by its name.";
const CANCELLED = "No passkey was used: the request was cancelled or timed out, or this device has no passkey for this hub.";
const KNOWN = "This device already has a passkey for this account.";
const SENTENCES = { SecurityError: ADDRESS, TypeError: ADDRESS, NotAllowedError: CANCELLED, InvalidStateError: KNOWN };

const form = document.querySelector("#passkey");
const button = "passkey_button";
const ids = { login: button, add: button, authenticate: button, credential: "id_credential", passwordless: "id_passwordless" };

window.allauth.webauthn.forms[form.dataset.kind]({ ids, data: JSON.parse(form.dataset.options || "null") });

document.addEventListener("allauth.error", (event) => {
  event.preventDefault(); // otherwise it is logged as an error on the console
  const { exception } = event.detail;
  document.querySelector("#passkey_problem")?.remove();
  const problem = document.createElement("div");
  problem.id = "passkey_problem";
  problem.className = "alert error";
  problem.role = "alert";
  problem.textContent = SENTENCES[exception.name] ?? exception.message;
  form.before(problem);
});
