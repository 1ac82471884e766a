"""How bash, zsh and fish ask ``wn-rl`` what the Tab key finds: ``wn-rl completion <shell>`` prints it for them.

Each hands over the words up to the cursor and gets the candidates, one a line. One that ends in ``=``, ``.`` or ``/``
goes on; behind any other a space follows, which fish sees to by itself.
"""

BASH = r"""
_wn_rl() {
    local line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[[:space:]]/} words word start candidate
    read -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    start=${word%"${word##*[$breaks]}"}   # bash replaces what stands behind it alone
    COMPREPLY=()
    while IFS= read -r candidate; do
        printf -v candidate %q "${candidate#"$start"}"
        [[ $candidate == *[=./] ]] || candidate+=" "
        COMPREPLY+=("$candidate")
    done < <("${COMP_WORDS[0]/#\~/$HOME}" completion --words "${words[@]:1}" 2>/dev/null)
}
complete -o nospace -F _wn_rl wn-rl
"""

ZSH = r"""
_wn_rl() {
    local -a candidates
    candidates=(${(f)"$(${~words[1]} completion --words "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"})
    compadd -S '' -- ${(M)candidates:#*[=./]}
    compadd -- ${candidates:#*[=./]}
}
compdef _wn_rl wn-rl
"""

FISH = r"""
function __wn_rl_candidates
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    command $before[1] completion --words $before[2..] "$word" 2>/dev/null
end
complete -c wn-rl -f -a '(__wn_rl_candidates)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
