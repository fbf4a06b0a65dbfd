# Completion of ch202 for bash. In ~/.bashrc: eval "$(ch202 completion bash)"
#
# Completions contain user input: anyone may register as `reboot`@example.org. So this script never evaluates a word
# (compgen -W would), and quotes all completions.
_ch202() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() blank i line value
  # Bash also splits words at @ : =, so words without a space between them are joined again.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    blank=${rest%%[![:space:]]*}
    rest=${rest#"$blank"}
    value=${COMP_WORDS[i]}
    ((i < COMP_CWORD)) || value=$rest
    rest=${rest#"$value"}
    if ((i == 0)) || [[ -n $blank ]]; then
      words+=("$value")
    else
      words[${#words[@]} - 1]+=$value
    fi
  done
  # Bash replaces only the part of the last word that it passes as $2.
  local word=${words[${#words[@]} - 1]//[\\\"\']/}
  local prefix=${word%"${2//[\\\"\']/}"}
  words[${#words[@]} - 1]=$word
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :0) ;;
      :*) compopt +o default 2>/dev/null ;;
      *)
        value=${line%%$'\t'*}
        printf -v value %q "${value#"$prefix"}"
        COMPREPLY+=("$value")
        ;;
    esac
  done < <(ch202 complete -- "${words[@]:1}" 2>/dev/null </dev/null)
}
complete -o default -F _ch202 ch202
