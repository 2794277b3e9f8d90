// Counts down the time left. The server says how much there is, so a wrong clock here does not matter.

import { attach } from "../web/behaviour.js";

attach("countdown", (element) => {
  const ends = performance.now() + Number(element.dataset.leftS) * 1000;
  const show = () => {
    const left = Math.max(0, Math.round((ends - performance.now()) / 1000));
    element.textContent = written(left);
    if (left === 0 || !element.isConnected) clearInterval(ticking);
  };
  const ticking = setInterval(show, 1000);
  show();
});

function written(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}
