// Verifies attempts with Node's own crypto, as a receiver would write it from the documents.
// Reads a JSON list of {dialect, secret, secrets, public_key, headers, body} (body in base64); prints a JSON list of verdicts.
import { createHmac, createPublicKey, timingSafeEqual, verify } from "node:crypto";

const hmac = (key, ...parts) => parts.reduce((mac, part) => mac.update(part), createHmac("sha256", key));
const same = (one, other) => one.length === other.length && timingSafeEqual(one, other);

function standardKey(secret) {
  const rest = secret.startsWith("whsec_") ? secret.slice(6) : secret;
  const key = Buffer.from(rest, "base64");
  return key.length && key.toString("base64") === rest ? key : Buffer.from(secret, "utf8");
}

function standard(attempt, body) {
  const { headers } = attempt;
  const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  return (headers["webhook-signature"] ?? "").split(" ").map((token) => {
    const [version, text] = token.split(",", 2);
    const signature = Buffer.from(text ?? "", "base64");
    if (version === "v1") return same(hmac(standardKey(attempt.secret), signed).digest(), signature);
    if (version !== "v1a") return false;
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: attempt.public_key }, format: "jwk" });
    return verify(null, signed, key, signature);
  });
}

function own(attempt, body) {
  const { headers, secret } = attempt;
  if (attempt.dialect === "merchant") {
    const expected = `sha256=${hmac(secret, body).digest("hex")}`;
    return same(Buffer.from(expected), Buffer.from(headers["X-OwnPay-Signature"] ?? ""));
  }
  if (attempt.dialect === "pix") {
    const expected = `sha256=${hmac(secret, `${headers["X-Owem-Timestamp"]}.`, body).digest("hex")}`;
    return same(Buffer.from(expected), Buffer.from(headers["X-Owem-Signature"] ?? ""));
  }
  return true;
}

let text = "";
for await (const chunk of process.stdin) text += chunk;
const verdicts = JSON.parse(text).map((attempt) => {
  const body = Buffer.from(attempt.body, "base64");
  return { own: own(attempt, body), standard: standard(attempt, body) };
});
console.log(JSON.stringify(verdicts));
