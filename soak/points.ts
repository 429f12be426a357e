/** A moment in the life of a saga at which a process is killed. */
export interface CrashPoint {
  /** As the runner names it, or `answered:` and the moment before: a sibling has acted and said so, and nothing of it is written down. */
  readonly moment: string;
  /** The step that refuses, so that the saga comes by on its way back; absent on the way forward. */
  readonly failsAt?: number;
}

/**
 * Every crash point of a saga with these steps: after each durable move, and between the answer of a sibling and the move that writes it
 * down, on the way forward, and on the way back from each step that can refuse.
 */
export function crashPoints(steps: readonly string[]): CrashPoint[] {
  const last = steps.length;
  const forward: CrashPoint[] = [];
  for (const position of steps.keys()) {
    forward.push({ moment: `answered:forward:${position}` }, { moment: `forward:${position + 1}` });
  }
  forward.push({ moment: `done:${last}` });
  const backward: CrashPoint[] = [];
  for (let position = last - 1; position >= 0; position--) {
    backward.push(
      { moment: `backward:${position}`, failsAt: position },
      { moment: `answered:backward:${position}`, failsAt: position },
    );
  }
  backward.push({ moment: "backward:-1", failsAt: 0 }, { moment: "undone:-1", failsAt: 0 });
  return [...forward, ...backward];
}
