// Puts the credentials typed into the page on a call, and signs its body where the API wants that.

const credentials = document.querySelector("[data-credentials]");
credentials.addEventListener("submit", (event) => event.preventDefault());

export async function authorise(headers, method, body, signed) {
  const { key, client_id, client_secret } = Object.fromEntries(new FormData(credentials));
  if (key) headers.set("Authorization", `Bearer ${key.trim()}`);
  if (!signed || !client_id) return;
  headers.set("Authorization", `ApiKey ${client_id.trim()}:${client_secret.trim()}`);
  if (method === "POST" || method === "PATCH") headers.set("hmac", await digest(client_secret.trim(), body));
}

/** The HMAC-SHA512 of the body, as the PIX API wants it. */
async function digest(secret, body) {
  if (!crypto.subtle) throw new Error("Browsers sign only on https and on localhost.");
  const bytes = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-512" };
  const key = await crypto.subtle.importKey("raw", bytes.encode(secret), algorithm, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes.encode(body)));
  return Array.from(signature, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
