# ask.zsh DIRECTORY: what zsh offers for each line of DIRECTORY/asked, into DIRECTORY/offered, with
# DIRECTORY/_dutch-master as an installed completion. A shell with a terminal of its own does it:
# only a widget can complete.
zmodload zsh/zpty || exit 3
directory=$1
cat >$directory/setup <<'SETUP'
PROMPT= RPROMPT=
fpath=($directory $fpath)
autoload -Uz compinit && compinit -u -D
# Notes what would be added; what is only asked for goes its way.
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a hits
    builtin compadd -A hits "$@"
    (($#hits)) && print -rl -- $hits >>$directory/offered
}
ask_all() {
    local line
    for line in "${(@f)$(<$directory/asked)}"; do
        print -r -- "? $line" >>$directory/offered
        BUFFER=$line CURSOR=${#line}
        zle list-choices
    done
    print -r -- end >>$directory/offered
    exit
}
zle -N ask_all
bindkey '^T' ask_all
: >$directory/set-up
SETUP
export directory
zpty shell zsh -f -i || exit 4
zpty -w shell "source $directory/setup"
# What the terminal shows has to be taken, or the shell would wait for it.
until [[ -e $directory/set-up ]]; do zpty -r -t shell >/dev/null || sleep 0.05; done
zpty -w -n shell $'\C-t'
until [[ -e $directory/offered && $(tail -n 1 $directory/offered) == end ]]; do
    zpty -r -t shell >/dev/null || sleep 0.05
done
zpty -d shell
