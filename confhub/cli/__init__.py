"""Commands for operators: `./manage.py up`, `bootstrap`, `reconcile`, `doctor`."""
