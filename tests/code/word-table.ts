/**
 * Words that readers stumbled over, with the term that the field uses. `bun run lint` refuses them in comments, in texts
 * and in the names of variables; `docs` pages are read too. Patterns are matched without regard to case.
 */
export interface WordRule {
  pattern: RegExp
  say: string
}

export const WORDS: WordRule[] = [
  { pattern: /\bmend(s|ed|ing)?\b/i, say: 'fix, repair' },
  { pattern: /\banew\b/i, say: 'again; "recreated"' },
  { pattern: /\bstrangers?\b/i, say: 'decoy, anonymous caller, unknown' },
  { pattern: /\b(teller|follower)s?\b/i, say: 'publisher, subscriber' },
  { pattern: /\bhears?\b/i, say: 'subscribes, acknowledges, receives' },
  { pattern: /\bthe outside\b/i, say: 'other systems' },
  { pattern: /\bput(s|ting)? in step\b/i, say: 'reconcile' },
  { pattern: /\bin pieces\b/i, say: 'in batches' },
  { pattern: /\bbearable\b/i, say: 'within the cost limit' },
  { pattern: /\btoday's making\b/i, say: 'rehash' },
  { pattern: /\b(is|are|was|were) none\b/i, say: 'is not a …, does not exist' },
  { pattern: /\bnone such\b/i, say: 'does not exist' },
  { pattern: /\bwho has \w+ has all\b/i, say: 'anyone who … controls everything' },
  { pattern: /\bin vain\b/i, say: 'without success' },
  { pattern: /\bstands? in the way\b/i, say: 'prevents' },
  { pattern: /\bone's own\b/i, say: 'your own' },
  { pattern: /\bthe whole of\b/i, say: 'all of' },
  { pattern: /\bgives? way\b/i, say: 'is replaced' },
  { pattern: /\bin the clear\b/i, say: 'in plain text' },
  { pattern: /\bof its own meaning\b/i, say: 'independent' },
  { pattern: /\bas it lies\b/i, say: 'unchanged' },
  { pattern: /\bgo(es)? on to\b/i, say: 'keeps, continues to' },
  { pattern: /\bwhat it is about\b/i, say: 'its subject' },
]

/** Names that fit everything and so say nothing: no variable, parameter or destructured name may be one of them. */
export const NAMES = new Set(
  `said told known found own kept given wanted asked named left there meant made held taken shown heard gone already
   stranger outside whole`.split(/\s+/),
)

/** A comment begins with a verb or with the noun that it explains, not with one of these. */
export const FIRST_WORDS = new Set(
  'What Who Whom Whose Where That Those These It They There Else Of Nor So But And'.split(' '),
)

/** Where a word is right: a name on the wire or in a file, a term of a standard, a quotation. */
export const EXCEPTIONS: { files: string; text: RegExp; reason: string }[] = [
  { files: 'tests/code/word-table.ts', text: /.*/, reason: 'the table itself' },
  {
    files: 'tests/{contract,documents,nodes}/*.test.ts',
    text: /^GET \S+[?&]follower=/,
    reason: 'the query parameter of the feeds',
  },
  { files: 'tests/code/words.test.ts', text: /\bmend(s|ed)\b|\banew\b|is none/, reason: 'samples of refused words' },
  {
    files: 'docs/integrate/verify-tokens.md',
    text: /"follower": SUBSCRIBER/,
    reason: 'the `follower` query parameter of the feeds',
  },
  {
    files: 'tests/security/{api-keys,swapped-ids}.test.ts',
    text: /[?]follower=|\baddress follower epoch\b/,
    reason: 'the `follower` query parameter of the feeds',
  },
  {
    files: 'tests/cli/backup.test.ts',
    text: /revocations\?follower=/,
    reason: 'a query parameter of the API between services',
  },
]
