# Completion of ch202 for bash. In ~/.bashrc: eval "$(ch202 completion bash)"
#
# What is offered comes from people: anyone may register as `reboot`@example.org. So nothing here evaluates a word,
# typed or offered (compgen -W would), and what is offered is quoted.
_ch202() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() blank i line value
  # Bash has cut the words at @ : = as well: those with no blank between them are one.
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
  # Of the last one it replaces only what it calls the word ($2).
  local word=${words[${#words[@]} - 1]//[\\\"\']/}
  local kept=${word%"${2//[\\\"\']/}"}
  words[${#words[@]} - 1]=$word
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :0) ;;
      :*) compopt +o default 2>/dev/null ;;
      *)
        value=${line%%$'\t'*}
        printf -v value %q "${value#"$kept"}"
        COMPREPLY+=("$value")
        ;;
    esac
  done < <(ch202 complete -- "${words[@]:1}" 2>/dev/null </dev/null)
}
complete -o default -F _ch202 ch202
