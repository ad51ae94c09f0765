# bash completion for moorctl. Commands, options and their words are read from its own help, so
# they are those of the version that is installed.

# Prints the words that can follow the commands given, which is what their help names.
_moorctl_words() {
  moorctl "$@" --help 2>/dev/null | awk '
    /^[A-Za-z]+:$/ { section = $1 }
    section == "Options:" && /^  -/ {
      count = split($1, names, ",")
      for (i = 1; i <= count; i++) print names[i]
    }
    section == "Subcommands:" && /^  [a-z]/ { print $1 }'
}

# Prints the words that an option takes, if its help lists them as "one of a, b".
_moorctl_choices() {
  local option=$1
  shift
  moorctl "$@" --help 2>/dev/null | awk -v option="$option" '
    /^  -/ {
      count = split($1, names, ",")
      for (i = 1; i <= count; i++)
        if (names[i] == option && match($0, /one of .*/)) {
          words = substr($0, RSTART + 7)
          gsub(",", "", words)
          print words
        }
    }'
}

_moorctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local -a commands=()
  local word words
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      image) commands+=("$word") ;;
      -*) ;;
      *) if [ ${#commands[@]} = 0 ] || [ "${commands[*]}" = image ]; then commands+=("$word"); fi ;;
    esac
  done
  COMPREPLY=()
  if [[ $previous == -* ]]; then
    words=$(_moorctl_choices "$previous" "${commands[@]}")
    if [ -n "$words" ]; then
      mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
      return
    fi
  fi
  words=$(_moorctl_words "${commands[@]}")
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  # Files and directories where nothing of its own fits: archives, manifests.
  [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -F _moorctl moorctl
