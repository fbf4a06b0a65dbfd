#compdef ch202
# Completion of ch202 for zsh. In ~/.zshrc, after compinit: eval "$(ch202 completion zsh)"
_ch202() {
  local -a candidates
  local line
  while IFS= read -r line; do
    case $line in
      (:0) _files; return ;;
      (:*) ;;
      (*)
        line=${line//\\/\\\\}
        line=${line//:/\\:}
        line=${line/$'\t'/:}
        candidates+=("${line%:}")
        ;;
    esac
  done < <(ch202 complete -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)
  _describe ch202 candidates
}
if [[ $funcstack[1] == _ch202 ]]; then _ch202 "$@"; else compdef _ch202 ch202; fi
