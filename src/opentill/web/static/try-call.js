// A form that sends the call its section describes, and shows what came back.

import { announce, attach } from "./behaviour.js";
import { authorise } from "./sign-call.js";

attach("try-call", (form) => {
  form.querySelector("button").hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = form.querySelector("output");
    output.textContent = "…";
    try {
      const answer = await send(form);
      output.replaceChildren(await shown(answer));
      announce(`Answered ${answer.status}`);
    } catch (fault) {
      output.textContent = fault.message;
    }
  });
});

async function send(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = new Headers();
  for (const input of form.querySelectorAll("input[data-in]")) {
    if (!input.value) continue;
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    if (input.dataset.in === "query") query.set(input.name, input.value);
    if (input.dataset.in === "header") headers.set(input.name, input.value);
  }
  const method = form.dataset.method;
  const body = ["GET", "HEAD", "DELETE"].includes(method) ? undefined : (form.elements.body?.value ?? "");
  if (body) headers.set("Content-Type", "application/json");
  await authorise(headers, method, body ?? "", "signed" in form.dataset);
  const target = query.size ? `${path}?${query}` : path;
  return fetch(target, { method, headers, body, credentials: "omit", cache: "no-store" });
}

async function shown(answer) {
  const text = await answer.text();
  const block = document.createElement("pre");
  const head = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  block.textContent = `${answer.status} ${answer.statusText}\n${head}\n\n${pretty(text)}`;
  return block;
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
