// Verifies attempts with the published library for Node. Reads a JSON list of {secret, headers, body} (body in base64)
// and prints a JSON list of booleans.
import { Webhook, WebhookVerificationError } from "standardwebhooks";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const verdicts = JSON.parse(text).map(({ secret, headers, body }) => {
  try {
    new Webhook(secret).verify(Buffer.from(body, "base64").toString("utf8"), headers);
    return true;
  } catch (refusal) {
    if (!(refusal instanceof WebhookVerificationError || refusal instanceof SyntaxError)) throw refusal;
    return false;
  }
});
console.log(JSON.stringify(verdicts));
