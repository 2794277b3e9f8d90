// Shows the page as it is now, in place: no flash, and the way back stays as short as it was.

import { announce, contentChanged } from "../web/behaviour.js";

/** Replace `page`, the element of class checkout, by what the server shows at this address. */
export async function renew(page) {
  const address = new URL(location.href);
  address.searchParams.delete("note"); // it spoke of an earlier step
  const answer = await fetch(address, { cache: "no-store", headers: { "x-renews": "1" } });
  if (!answer.ok) return location.reload();
  const renewed = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = renewed.querySelector(".checkout");
  const focused = page.contains(document.activeElement);
  history.replaceState(null, "", address);
  document.title = renewed.title;
  page.replaceWith(next);
  contentChanged();
  const heading = next.querySelector("h1");
  if (focused) heading.focus();
  announce(heading.textContent.trim());
}
