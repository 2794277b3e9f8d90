// Takes the payer back to the shop after some seconds, unless they choose to stay.

import { attach } from "../web/behaviour.js";

attach("go-on", (element) => {
  const link = element.querySelector("a[data-go]");
  const figure = element.querySelector("[data-seconds]");
  let left = Number(figure.textContent);
  const ticking = setInterval(() => {
    if (!element.isConnected) return clearInterval(ticking);
    left -= 1;
    figure.textContent = String(left);
    if (left > 0) return;
    clearInterval(ticking);
    location.assign(link.href);
  }, 1000);
  element.querySelector("[data-stay]").addEventListener("click", (event) => {
    event.preventDefault();
    clearInterval(ticking);
    element.querySelector("[data-going]").hidden = true;
    link.focus();
  });
});
