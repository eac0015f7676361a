. /tmp/w/h5/packtmp/env.sh; O=/tmp/w/h5/packtmp/o
for n in "$@"; do (time timeout 900 $PY -m papermill nbs/$n.ipynb $O/$n.ipynb --cwd nbs -k python3 --no-progress-bar) > $O/$n.log 2>&1; done
