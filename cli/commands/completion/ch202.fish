# Completion of ch202 for fish. In ~/.config/fish/config.fish: ch202 completion fish | source
function __ch202_complete
  set -l words (commandline -opc)
  set -l word (commandline -ct | string unescape)
  set -l lines (ch202 complete -- $words[2..-1] "$word" 2>/dev/null </dev/null)
  if test "$lines[-1]" = ":0"
    __fish_complete_path "$word"
  else
    string match -v -r '^:\d+$' -- $lines
  end
end
complete -c ch202 -f -a '(__ch202_complete)'
