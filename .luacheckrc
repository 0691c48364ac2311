std = 'lua54'
max_line_length = 160
files['spec'] = { std = '+busted' }
files['policies'] = { read_globals = { 'log' } }
files['policies/template/spec'] = { std = '+busted' }
