import sys, collections, time, importlib, tempfile, pickle
from pathlib import Path
from campaign.world import World
from campaign.judge import judge
import torch; torch.set_num_threads(1)
import sscnb.stages, sscnb.commands.predict, sscnb.commands.submit
module=importlib.import_module("campaign."+sys.argv[1]); want=sys.argv[2] if len(sys.argv)>2 else ""
t=time.time(); w=World(Path(tempfile.mkdtemp(dir="/dev/shm"))).make(); print("world",time.time()-t,flush=True)
import shutil
n=collections.Counter()
for c in module.cases():
    if want not in f"{c.kind} {c.name}": continue
    v=judge(c,w); n[c.kind,v.outcome]+=1
    print(("" if v.good else "FAIL "),c.kind,"|",c.name,"|",v.outcome,round(v.seconds,1),"" if v.good else "\n    "+v.note[-900:].replace("\n","\n    "),flush=True)
    if v.good and v.message: print("    >",v.message[:300].replace("\n"," / "),flush=True)
print(n); shutil.rmtree(w.base)
