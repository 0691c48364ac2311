#compdef PROGRAM
# Completion of PROGRAM for zsh: source <(PROGRAM completion zsh), or a file _PROGRAM in a folder of $fpath
_PROGRAM() {
	local line also text
	local -a candidates
	text=$("${words[1]/#\~/$HOME}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
	for line in "${(@f)text}"; do
		if [[ $line == :* ]]; then
			also=$line
		else
			line=${line//:/\\:}
			candidates+=("${line/$'\t'/:}")
		fi
	done
	[[ $PREFIX != -*=* ]] || compset -P '*='
	case $also in
	:0) _files ;;
	:16) _path_files -/ ;;
	*) _describe PROGRAM candidates ;;
	esac
}
if [[ $funcstack[1] == _PROGRAM ]]; then
	_PROGRAM "$@"
else
	compdef _PROGRAM PROGRAM
fi
