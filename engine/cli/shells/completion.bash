# Completion of PROGRAM for bash: source <(PROGRAM completion bash)
_PROGRAM() {
	local i n=0 words=() word line also='' IFS=$'\n'
	# bash breaks words at = and :, the program does not
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((n > 0)) && [[ $word == [=:]* || ${words[n - 1]} == *[=:] ]]; then
			words[n - 1]+=$word
		else
			words[n++]=$word
		fi
	done
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:*) also=$line ;;
		*) COMPREPLY+=("${line%%$'\t'*}") ;;
		esac
	done < <("${COMP_WORDS[0]/#\~/$HOME}" __complete "${words[@]}" 2>/dev/null)
	case $also in
	:0) COMPREPLY+=($(compgen -f -- "$2")) ;;
	:16) COMPREPLY+=($(compgen -d -- "$2")) ;;
	*) return ;;
	esac
	compopt -o filenames 2>/dev/null # bash 3 has none
}
complete -F _PROGRAM PROGRAM
