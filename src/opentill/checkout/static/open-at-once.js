// Where there is only one way to pay, opens it without a click.

import { attach } from "../web/behaviour.js";
import { renew } from "./renew.js";

attach("open-at-once", async (form) => {
  const fields = new FormData(form, form.querySelector("button"));
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(fields) });
  if (answer.ok && form.isConnected) await renew(form.closest(".checkout"));
});
