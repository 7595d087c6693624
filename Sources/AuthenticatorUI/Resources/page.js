// Makes pages a little better, which work without it: the time left counts down, the list of suppliers narrows while a
// name is typed, and a supplier's answer that was posted goes on by itself.
'use strict';

const time = document.getElementById('time');
if (time) {
  const end = Date.now() + time.dataset.seconds * 1000;
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    const clock = Math.floor(left / 60) + ':' + String(left % 60).padStart(2, '0');
    time.textContent = left ? time.dataset.clock.replace('0:00', clock) : time.dataset.over;
    if (!left) clearInterval(timer);
  };
  const timer = setInterval(tick, 1000);
  tick();
}

// As the service compares names: without accents, case and marks.
const folded = text => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
  .replace(/ß/g, 'ss').replace(/æ/g, 'ae').replace(/œ/g, 'oe').replace(/ø/g, 'o').replace(/ł/g, 'l').replace(/đ/g, 'd')
  .split(/[^\p{L}\p{N}]+/u).filter(word => word);

const search = document.getElementById('search'), found = document.getElementById('found');
if (search && found.dataset.found) {
  const buttons = [...document.querySelectorAll('#suppliers button')].map(button => [button, folded(button.textContent).join(' ')]);
  search.addEventListener('input', () => {
    const words = folded(search.value);
    let count = 0;
    for (const [button, name] of buttons) {
      button.hidden = !words.every(word => name.includes(word));
      if (!button.hidden) count++;
    }
    found.textContent = words.length ? found.dataset.found.replace(/\d+/, count) : '';
  });
}

const posted = document.getElementById('posted');
if (posted) posted.submit();
