// Only what is wider than its column can be scrolled, and so needs the keyboard's focus and a word.
function markScrolling() {
  for (const box of document.querySelectorAll(".output-body, .respine-math")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1;
    box.closest(".respine-output")?.classList.toggle("scrolls", scrolls);
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("resize", markScrolling);
document.fonts.ready.then(markScrolling);

// The theme's sidebar is no landmark, and the name of its search button leaves out what the button says.
const sidebar = document.querySelector(".bd-sidebar-primary");
sidebar?.setAttribute("role", "navigation");
sidebar?.setAttribute("aria-label", "Report");
document.querySelectorAll(".search-button-field").forEach((button) => button.removeAttribute("aria-label"));

// A link to a cell opens the fold that hides its code.
function openTarget() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  const fold = target && target.classList.contains("cell") && target.querySelector("details.hide");
  if (fold) fold.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
