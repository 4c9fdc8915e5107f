/** What a check found. Plain data: the JSON output as it stands. */

export interface Finding {
  /** What was looked at: `governor`, `load`. */
  readonly check: string
  /** `fine`; `costs`: it makes numbers worse and something can be done; `unseen`: it cannot be seen from here. */
  readonly state: 'fine' | 'costs' | 'unseen'
  /** What it is, in a few words, with numbers. */
  readonly found: string
  /** What it does to measurements. Only where it costs something. */
  readonly cost?: string
  /** The exact command that changes it, or the option of `shootout` that avoids it. */
  readonly command?: string
  /** Settings that `--apply` would write: path and value. */
  readonly settings?: readonly Setting[]
}

export interface Setting {
  /** Below the root of the system. */
  readonly path: string
  readonly value: string
}
