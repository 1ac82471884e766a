// A served page asks for itself anew every few seconds and takes over what has changed, playing videos untouched.
(() => {
  const seconds = Number(document.querySelector('meta[name="refresh-seconds"]')?.content);
  if (!seconds) return;
  const served = new Map();
  let tag = null;
  let isWaiting = false;  // whether something new is not shown yet, since one looks at what is there
  const remember = (from) => {
    for (const part of from.querySelectorAll("[data-live]")) served.set(part.id, part.innerHTML);
  };

  // A row of videos waits until none of them is being watched.
  const isWatched = (part) => [...part.querySelectorAll("video")].some((video) => video.currentTime > 0 && !video.ended);

  // Scrolled parts stay where they were.
  function replaceContent(here, fresh) {
    const getScrolled = () => [here, ...here.querySelectorAll(".scroll")];
    const places = getScrolled().map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
    here.innerHTML = fresh.innerHTML;
    here.hidden = fresh.hidden;
    getScrolled().forEach((part, number) => part.scrollTo(...(places[number] ?? [0, 0])));
  }

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
    let hasChanged = document.getElementById("data").textContent !== text;
    isWaiting = false;
    for (const part of fresh.querySelectorAll("[data-live]")) {
      if (served.get(part.id) === part.innerHTML) continue;
      const here = document.getElementById(part.id);
      if (isWatched(here)) {
        isWaiting = true;
        continue;
      }
      replaceContent(here, part);
      served.set(part.id, part.innerHTML);
      hasChanged = true;
    }
    addVideos(fresh);
    document.getElementById("data").textContent = text;
    if (hasChanged) window.redraw(JSON.parse(text));
  }

  async function refresh() {
    try {
      const answer = await fetch(location.href, { cache: "no-cache" });  // which is answered in a line if nothing has changed
      const isNew = answer.headers.get("ETag") !== tag;
      if (answer.ok) tag = answer.headers.get("ETag");
      if (answer.ok && (isNew || isWaiting)) takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The server was stopped: what is shown stays.
    }
    setTimeout(refresh, 1000 * seconds);
  }

  remember(document);
  setTimeout(refresh, 1000 * seconds);
})();
