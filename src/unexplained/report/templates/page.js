// What a link leads to is opened, with all that it stands in.
const reveal = (id) => {
  const target = document.getElementById(id);
  if (!target) return;
  target.querySelector(":scope > details")?.setAttribute("open", "");
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  target.scrollIntoView();
};
const named = () => {
  try {
    reveal(decodeURIComponent(location.hash.slice(1)));
  } catch {
    reveal(location.hash.slice(1));
  }
};
addEventListener("hashchange", named);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link) reveal(link.getAttribute("href").slice(1));
});
named();

for (const doc of document.querySelectorAll(".doc")) {
  const panel = doc.nextElementSibling;
  const tokens = [...doc.querySelectorAll("[role=option]")];
  let current = null;
  const show = (token) => {
    if (!token || token === current) return;
    if (current) {
      current.setAttribute("aria-selected", "false");
      current.tabIndex = -1;
    }
    worst.tabIndex = -1;
    current = token;
    token.setAttribute("aria-selected", "true");
    token.tabIndex = 0;
    for (const field of panel.querySelectorAll("[data-f]")) {
      const key = field.dataset.f;
      field.textContent = key === "t" ? token.textContent.replaceAll(" ", "␣") : token.dataset[key] ?? "–";
    }
    panel.hidden = false;
  };
  // A document begins where the explanation is furthest off.
  const worst = tokens.find((token) => token.tabIndex === 0);
  doc.closest("details")?.addEventListener("toggle", () => {
    show(worst);
    doc.scrollTop = worst.offsetTop - doc.clientHeight / 3;
  });
  const at = (event) => event.target.closest("[role=option]");
  doc.addEventListener("pointerover", (event) => show(at(event)));
  doc.addEventListener("focusin", (event) => show(at(event)));
  doc.addEventListener("click", (event) => show(at(event)));
  doc.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const here = tokens.indexOf(at(event));
    const next = event.key === "Home" ? 0 : event.key === "End" ? tokens.length - 1 : here + step;
    if (!tokens[next]) return;
    event.preventDefault();
    tokens[next].focus();
  });
}
