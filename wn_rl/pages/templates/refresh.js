// A served page asks for itself anew every few seconds and takes over what has changed, playing videos untouched.
(() => {
  const seconds = Number(document.querySelector('meta[name="refresh-seconds"]')?.content);
  if (!seconds) return;
  const served = new Map();
  const remember = (from) => {
    for (const part of from.querySelectorAll("[data-live]")) served.set(part.id, part.innerHTML);
    served.set("data", from.getElementById("data").textContent);
  };

  function addVideos(fresh) {
    for (const place of document.querySelectorAll("[data-live-videos]")) {
      for (const figure of [...fresh.getElementById(place.id).children]) {
        const isHere = [...place.children].some((old) => old.dataset.key === figure.dataset.key);
        if (!isHere) place.append(figure);
      }
    }
  }

  function takeOver(fresh) {
    const text = fresh.getElementById("data").textContent;
    let hasChanged = served.get("data") !== text;
    for (const part of fresh.querySelectorAll("[data-live]")) {
      if (served.get(part.id) === part.innerHTML) continue;
      const here = document.getElementById(part.id);
      here.innerHTML = part.innerHTML;
      here.hidden = part.hidden;
      hasChanged = true;
    }
    addVideos(fresh);
    remember(fresh);
    document.getElementById("data").textContent = text;
    if (hasChanged) window.redraw(JSON.parse(text));
  }

  async function refresh() {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (answer.ok) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The server was stopped: what is shown stays.
    }
    setTimeout(refresh, 1000 * seconds);
  }

  remember(document);
  setTimeout(refresh, 1000 * seconds);
})();
