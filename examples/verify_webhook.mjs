// Verify a webhook of OpenTill with Node's own crypto.
//
//   verify(rawBody, headers, { secret })       symmetric: the endpoint's secret
//   verify(rawBody, headers, { jwks })         asymmetric: /.well-known/webhooks/<merchant>/jwks.json
//
// Use the body as it arrived (a Buffer), before any parsing. De-duplicate on `webhook-id`, which is signed.
import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";

const TOLERANCE_S = 300;

/** Return the event id of a genuine request; throw an Error that says which step failed. */
export function verify(body, headers, { secret = "", jwks = { keys: [] }, now = Date.now() / 1000 } = {}) {
  const given = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => given[`webhook-${name}`]);
  if (!id || !/^\d+$/.test(timestamp ?? "") || !signatures) throw new Error("a header is missing or unreadable");
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_S) throw new Error("too old, or from the future");

  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  for (const token of signatures.split(" ")) {
    const [version, text = ""] = token.split(",", 2);
    const signature = Buffer.from(text, "base64");
    if (signature.toString("base64") !== text) continue; // Node reads base64 leniently; a signature has one form
    if (version === "v1" && secret) {
      const expected = createHmac("sha256", keyOf(secret)).update(signed).digest();
      if (signature.length === expected.length && timingSafeEqual(signature, expected)) return id;
    }
    if (version === "v1a" && jwks.keys.some((key) => isSigned(key, signed, signature))) return id;
  }
  throw new Error("no signature matches");
}

/** Return the key of a secret: its base64 without `whsec_`, or its text where it is none. */
export function keyOf(secret) {
  const text = secret.startsWith("whsec_") ? secret.slice(6) : secret;
  const key = Buffer.from(text, "base64");
  return key.length && key.toString("base64") === text ? key : Buffer.from(secret, "utf8");
}

function isSigned({ kty, crv, x }, signed, signature) {
  return verifySignature(null, signed, createPublicKey({ key: { kty, crv, x }, format: "jwk" }), signature);
}
