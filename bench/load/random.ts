/** Draws ranks 0 to `count - 1` with probabilities proportional to `1 / (rank + 1) ** exponent` (Zipf's law). */
export function zipf(count: number, exponent: number, random: () => number): () => number {
  const upTo = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    upTo[rank] = sum;
  }
  return () => {
    const drawn = random() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((upTo[middle] ?? 0) <= drawn) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** Draws the time to the next of arrivals that do not know of each other, in milliseconds (a Poisson process). */
export function gapsMs(perSecond: number, random: () => number): () => number {
  return () => (-Math.log(1 - random()) / perSecond) * 1000;
}
