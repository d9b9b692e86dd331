import sys, time, jax, numpy as np
import neural_computer as nc
from neural_computer.simulators.tty.source import TtySource
from neural_computer.simulators.tty.typists import TYPISTS
seed=int(sys.argv[1]); steps=int(sys.argv[2]); wd=sys.argv[3]
c=nc.configs.tty.get_config("small"); c.seed=seed; c.schedule.steps=steps; c.optimizer.decay_steps=max(steps,100)
e=nc.build(c)
src=TtySource(512,1500,1+seed,TYPISTS["brisk"])
t=time.time(); cpu=time.process_time()
nc.train.fit(e,src,wd)
print("wall",time.time()-t,"cpu",time.process_time()-cpu)
