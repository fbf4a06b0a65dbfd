const CLIENTS = 8

/** Shares the rounds among clients that work at the same time. @param work takes the number of the round, from 0 */
export async function atOnce(rounds: number, work: (round: number) => Promise<void>): Promise<void> {
  let next = 0
  const client = async () => {
    for (let round = next++; round < rounds; round = next++) await work(round)
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}
