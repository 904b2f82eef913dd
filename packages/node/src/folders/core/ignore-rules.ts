import ignore, { type Ignore } from 'ignore'
import { IGNORE_FILE } from './names.ts'

/** What editors, systems and version control leave beside people's files. Never mirrored, and not listed either. */
const ALWAYS = [
  '.sealmesh-*',
  `/${IGNORE_FILE}`,
  '.git',
  '.hg',
  '.svn',
  'node_modules',
  '__pycache__',
  '.venv',
  '.DS_Store',
  '._*',
  'Thumbs.db',
  'desktop.ini',
  '.directory',
  '.Trash-*',
  'lost+found',
  '.fuse_hidden*',
  '.nfs*',
  '*~',
  '.*.sw?',
  '.*.un~',
  '4913',
  '.#*',
  '#*#',
  '*.tmp',
  '*.tmp.*',
  '*.crdownload',
  '*.part',
  '.~lock.*',
  '~$*',
  '*.kate-swp',
  '.goutputstream-*',
]

export interface IgnoreRules {
  readonly ignores: (path: string, directory: boolean) => boolean
}

/** `own`: the folder's `.sealmeshignore`, in the syntax of `.gitignore`. It is this machine's own and not mirrored. */
export function ignoreRules(own: string): IgnoreRules {
  const always: Ignore = ignore({ allowRelativePaths: true }).add(ALWAYS)
  const rules: Ignore = ignore({ allowRelativePaths: true }).add(own)
  return {
    ignores: (path, directory) => {
      const asked = directory ? `${path}/` : path
      return always.ignores(asked) || rules.ignores(asked)
    },
  }
}
