/** What the process says when it ends. Documented in README; scripts and CI rely on it. */
export const exitCodes = {
  pass: 0,
  /** `gate`: a regression is proven. `check`: a behaviour is wrong. */
  regression: 1,
  /** Usage or configuration; nothing was measured. */
  usage: 2,
  inconclusive: 3,
  /** Cells are missing or failed, or nothing was measured. */
  incomplete: 4,
  /** The baseline is missing or cannot be compared with. */
  baseline: 5,
  /** A defect of ours (EX_SOFTWARE). */
  internal: 70,
  interrupted: 130,
} as const
