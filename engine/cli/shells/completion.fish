# Completion of PROGRAM for fish: PROGRAM completion fish | source
function __PROGRAM_complete
	set -l words (commandline -opc)
	set -l last (commandline -ct)
	set -l begin (string match -r -- '^-[^=]*=' "$last")
	set -l program (string replace -r '^~' $HOME -- $words[1])
	set -e words[1]
	set -l also
	for line in ($program __complete $words "$last" 2>/dev/null)
		if string match -q ':*' -- $line
			set also $line
		else
			echo "$begin$line"
		end
	end
	set -l path (string replace -- "$begin" '' "$last")
	switch "$also"
		case :0
			printf '%s\n' "$begin"(__fish_complete_path "$path")
		case :16
			printf '%s\n' "$begin"(__fish_complete_directories "$path")
	end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
