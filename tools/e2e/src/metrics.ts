/** All metrics of the process, as Prometheus reads them. */
export async function scrape(internalUrl: string): Promise<string> {
  return (await fetch(`${internalUrl}/metrics`)).text();
}

/** One sample, by its name with labels as Prometheus writes it. */
export async function metric(internalUrl: string, sample: string): Promise<number> {
  const line = (await scrape(internalUrl)).split('\n').find((each) => each.startsWith(`${sample} `));
  if (line === undefined) throw new Error(`There is no ${sample}`);
  return Number(line.slice(sample.length + 1));
}
