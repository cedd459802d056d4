// A link to a cell opens the fold that hides its code.
function openTarget() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  const fold = target && target.classList.contains("cell") && target.querySelector("details.hide");
  if (fold) fold.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
