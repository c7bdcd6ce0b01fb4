// Sound and video: one volume for all, one at a time unless both are wanted together, and who has heard it all.
//
// A medium counts as played when its end was reached and the stretches that really ran cover it: seeking past does not
// count. The server is told, and is the one that says what is still to be played.
import { call, patiently, Refusal } from "./api.js";

const GAP = 0.15; // seconds that may be missing where stretches meet, and at either end
const FASTER = 0.1; // how much one of two may run faster to catch up

/** Whether the stretches of a medium that ran cover it. */
export function covered(medium) {
  const { duration, played } = medium;
  if (!Number.isFinite(duration)) return true; // without a length only its end tells
  let seconds = 0;
  for (let i = 0; i < played.length; i += 1) seconds += played.end(i) - played.start(i);
  return duration - seconds <= Math.max(GAP, Math.min(0.5, duration / 50));
}

export class Players {
  /** `changed` is called whenever something has been played, or plays. */
  constructor(item, mustPlay, changed) {
    this.item = item;
    this.left = new Set(mustPlay);
    this.changed = changed;
    this.together = false;
    this.all = []; // in reading order: {medium, url, side, mark, ended, told}
    this.running = undefined; // the group that plays by key
    this.over = false;
  }

  /** A medium; `mark(played)` shows whether it has still to be played. Its `complete` may say when it has been. */
  add(medium, url, side, mark) {
    const player = { medium, url, side, mark, ended: false, told: !this.left.has(url) };
    this.all.push(player);
    mark(player.told);
    medium.addEventListener("play", () => this.began(player));
    medium.addEventListener("pause", () => this.paused(player));
    medium.addEventListener("timeupdate", () => this.progressed(player));
    medium.addEventListener("ended", () => this.finished(player));
    medium.addEventListener("volumechange", () => this.sameVolume(medium));
  }

  get playing() {
    return this.all.some(({ medium }) => !medium.paused && !medium.ended);
  }

  /** Pause what plays, or go on: with what stopped midway, else with what is still to be played, else from the start. */
  toggle() {
    if (this.playing) {
      this.running = undefined;
      for (const { medium } of this.all) medium.pause();
      return;
    }
    const groups = this.groups();
    const midway = ({ medium }) => medium.currentTime > 0 && !medium.ended;
    const group = groups.find((members) => members.some(midway))
      ?? groups.find((members) => members.some(({ told }) => !told)) ?? groups[0];
    if (group) this.play(group);
  }

  setTogether(together) {
    this.together = together;
    this.running = undefined;
    for (const { medium } of this.all) {
      medium.pause();
      medium.playbackRate = 1;
    }
  }

  /** What the keys play, one group after another: the prompt's media alone, then the sides' in turn or together. */
  groups() {
    const of = (side) => this.all.filter((player) => player.side === side);
    const [left, right] = [of("left"), of("right")];
    const alone = (players) => players.map((player) => [player]);
    if (!this.together) return alone([...of("prompt"), ...left, ...right]);
    const pairs = Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
      [left[i], right[i]].filter(Boolean));
    return [...alone(of("prompt")), ...pairs];
  }

  play(group) {
    this.running = group;
    if (group.every(({ medium }) => medium.ended || medium.currentTime === 0)) {
      for (const { medium } of group) medium.currentTime = 0;
    }
    for (const { medium } of group) {
      if (!medium.ended) medium.play()?.catch(() => {}); // replaced or stopped meanwhile; a fault shows at the medium
    }
  }

  began(player) {
    // One at a time: two at once are heard only where they are wanted together.
    if (!this.running?.includes(player)) {
      this.running = this.together ? this.groups().find((members) => members.includes(player)) : undefined;
    }
    const group = this.running ?? [player];
    for (const other of this.all) if (!group.includes(other)) other.medium.pause();
    for (const { medium } of group) if (medium.paused && !medium.ended) medium.play()?.catch(() => {});
    this.changed();
  }

  paused(player) {
    if (!player.medium.ended && this.running?.includes(player)) {
      for (const { medium } of this.running) medium.pause();
    }
    this.changed();
  }

  progressed(player) {
    if (player.ended) this.check(player);
    if (this.running?.length === 2 && !this.running.some(({ medium }) => medium.ended)) {
      const [one, two] = this.running.map(({ medium }) => medium);
      const ahead = one.currentTime - two.currentTime;
      // Never by seeking, which would leave a stretch that did not run.
      two.playbackRate = 1 + Math.max(-FASTER, Math.min(FASTER, Math.abs(ahead) < 0.04 ? 0 : ahead));
    }
  }

  finished(player) {
    player.ended = true;
    player.medium.playbackRate = 1;
    this.check(player);
    const group = this.running;
    if (!group || !group.every(({ medium }) => medium.ended)) return;
    const groups = this.groups();
    const next = groups[groups.findIndex((members) => members[0] === group[0]) + 1];
    this.running = undefined;
    if (next) {
      for (const { medium } of next) if (medium.ended) medium.currentTime = 0;
      this.play(next);
    }
    this.changed();
  }

  async check(player) {
    const { medium, url } = player;
    if (player.told || !(medium.complete ?? covered(medium))) return;
    player.told = true;
    try {
      const reply = await patiently(() => {
        if (this.over) throw new Refusal(0, "");
        return call("/api/played", { item: this.item, url });
      });
      this.left = new Set(reply.must_play);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      player.told = false;
      return;
    }
    for (const one of this.all) {
      one.told = !this.left.has(one.url);
      one.mark(one.told);
    }
    this.changed();
  }

  sameVolume({ volume, muted }) {
    for (const { medium } of this.all) {
      if (medium.volume !== volume) medium.volume = volume;
      if (medium.muted !== muted) medium.muted = muted;
    }
  }

  /** The item is gone: nothing plays on, nothing more is told. */
  stop() {
    this.over = true;
    this.running = undefined;
    for (const { medium } of this.all) medium.pause();
  }
}
