/**
 * The search for the first bad commit. Which commit to try next is git's choice (the one that halves what is left, also
 * where history has branches); whether it is good or bad is the oracle's.
 */

/** What the search needs of a repository. */
export interface History {
  /**
   * Commits that are in `bad` and in none of `good`, the best one to try first, and `bad` itself.
   */
  candidates(bad: string, good: readonly string[]): Promise<readonly string[]>
}

export type Answer = 'good' | 'bad' | 'skip'

/** @param left how many commits the first bad one can still be, this one included */
export type Oracle = (commit: string, left: number) => Promise<Answer>

export type Outcome =
  | { readonly found: string }
  /** Everything else was skipped: the first bad one is among these. */
  | { readonly found: undefined; readonly among: readonly string[] }

export async function search(
  history: History,
  ends: { readonly good: string; readonly bad: string },
  oracle: Oracle,
): Promise<Outcome> {
  let { bad } = ends
  const good = [ends.good]
  const skipped = new Set<string>()
  for (;;) {
    const candidates = await history.candidates(bad, good)
    const next = candidates.find((commit) => commit !== bad && !skipped.has(commit))
    if (next === undefined) {
      return candidates.length === 1 ? { found: bad } : { found: undefined, among: candidates }
    }
    const answer = await oracle(next, candidates.length)
    if (answer === 'good') good.push(next)
    else if (answer === 'bad') bad = next
    else skipped.add(next)
  }
}
