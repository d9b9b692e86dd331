"""The paper's ten findings as experiments: ARMS, PAPER (its figures), CLAIM (a direction), get_config(arm, size).

python -m launch.reproduce --finding=f06
python -m launch.report
"""
