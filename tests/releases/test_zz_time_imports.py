import time
import pytest
from confhub.releases import importing, imports
from tests.parts.factories import ANN, NOON, a_release, a_scope
pytestmark = pytest.mark.django_db
def test_time():
    s=a_scope(); a_release(s,{f"K.{n}":n for n in range(5000)})
    text="".join(f"K_{n}={n+(n%2)}\nNEW{n}=x\n" for n in range(2500)) 
    for i in range(2):
        t=time.time(); r=imports.read("env",text); a=time.time(); p=importing.plan(s,r,replace=False,now=NOON); b=time.time()
        print("read",a-t,"plan",b-a,len(p.set),len(p.same))
    t=time.time(); importing.apply(p,who=ANN,now=NOON); print("apply",time.time()-t)
    t=time.time(); p.changes; print("diff",time.time()-t)
