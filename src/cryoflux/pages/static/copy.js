// A button beside each command that copies it; shown only where it works.

function show() {
  for (const button of document.querySelectorAll("button.copy[hidden]")) button.hidden = false;
}

if (navigator.clipboard) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button.copy");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
  new MutationObserver(show).observe(document.querySelector("main"), { childList: true });
  show();
}
