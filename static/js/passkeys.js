// Passkeys, by allauth's scripts: what its form has to know stands on the form; what goes wrong is said above it.

const ADDRESS = "Passkeys need a host name and https (or http://localhost): open the hub by its name.";
const CANCELLED = "No passkey was used: it was cancelled, took too long, or none is known here.";
const KNOWN = "This device has a passkey of this account already.";
const SENTENCES = { SecurityError: ADDRESS, TypeError: ADDRESS, NotAllowedError: CANCELLED, InvalidStateError: KNOWN };

const form = document.querySelector("#passkey");
const button = "passkey_button";
const ids = { login: button, add: button, authenticate: button, credential: "id_credential", passwordless: "id_passwordless" };

window.allauth.webauthn.forms[form.dataset.kind]({ ids, data: JSON.parse(form.dataset.options || "null") });

document.addEventListener("allauth.error", (event) => {
  event.preventDefault(); // else it is an error on the console
  const { exception } = event.detail;
  document.querySelector("#passkey_problem")?.remove();
  const problem = document.createElement("div");
  problem.id = "passkey_problem";
  problem.className = "alert error";
  problem.role = "alert";
  problem.textContent = SENTENCES[exception.name] ?? exception.message;
  form.before(problem);
});
