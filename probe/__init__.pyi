# The public face of the package: what `from probe import ...` offers.

from .errors import ProbeError as ProbeError
from .images.quality.frechet import fid as fid
from .images.quality.kid import kid as kid
from .latent.directions import PairDirection as PairDirection
from .latent.erasure import CalibratedProjection as CalibratedProjection
from .latent.erasure.leace import LeaceEraser as LeaceEraser
from .latent.tracing import trace as trace
from .latent.tracing import where_it_appears as where_it_appears
from .latent.tracing.heads import attribute_heads as attribute_heads
from .latent.tracing.patching import patch_states as patch_states
from .moesd.model import MoESD as MoESD
from .run import Experiment as Experiment
from .stats.correlation import share_correlation as share_correlation
from .text.captions.classification import classify as classify
from .text.captions.counterfactuals import neutralise as neutralise
from .text.captions.counterfactuals import swap_gender as swap_gender
from .text.concepts import Concept as Concept
from .text.encoder import TextEncoder as TextEncoder
from .text.lexicon import Lexicon as Lexicon
from .text.prompts import ConceptPrompts as ConceptPrompts
from .text.prompts import PromptSet as PromptSet
from .text.vector_files import read_vectors as read_vectors

__version__: str
