/** The end of every `--help`: one line to paste, and what it does. */
export const example = (command: string, does?: string): string =>
  `\nExample:\n  $ ${command}${does === undefined ? '' : `\n  ${does}`}`
