"""The methods by name: SFAM, its peers and the floors, in the order of a table.

CAM, Grad-CAM and Relevance-CAM, of which the SFAM paper says that they need a classifier's head, have one as soon as
the score is the similarity.
"""

from tasks.judging.attribution import Attribution
from tasks.judging.class_activation import class_activation_map
from tasks.judging.floors import activation_sum, centred_gaussian, random_map
from tasks.judging.grad_cam_family import LARGE_UNIT, ablation_cam, grad_cam, score_cam
from tasks.judging.perturbation import occlusion, segment_ablation
from tasks.judging.relevance_cam import relevance_cam
from tasks.judging.similar_features import (
    sfam,
    sfam_centred,
    sfam_centred_conserving,
    sfam_conserving,
    sfam_of_features,
)
from tasks.judging.similarity_target import CosineTarget, DotProductTarget

_METHODS = (
    ("sfam", "SFAM", sfam),
    ("sfam-conserving", "SFAM (conserving)", sfam_conserving),
    ("sfam-centred", "SFAM (about the mean)", sfam_centred),
    ("sfam-centred-conserving", "SFAM (about the mean, conserving)", sfam_centred_conserving),
    ("sfam-features-cosine", "SFAM (features, cosine)", sfam_of_features("cosine")),
    ("sfam-features-euclidean", "SFAM (features, Euclidean)", sfam_of_features("euclidean")),
    ("sfam-features-snr", "SFAM (features, SNR)", sfam_of_features("snr")),
    ("cam", "CAM (similarity)", class_activation_map),
    ("relevance-cam", "Relevance-CAM (similarity)", relevance_cam),
    ("grad-cam-cosine", "Grad-CAM (cosine)", grad_cam("GradCAM", CosineTarget)),
    ("grad-cam-dot", "Grad-CAM (dot product)", grad_cam("GradCAM", DotProductTarget)),
    ("grad-cam-plus-plus", "Grad-CAM++ (cosine)", grad_cam("GradCAMPlusPlus", CosineTarget, LARGE_UNIT)),
    ("layer-cam", "LayerCAM (cosine)", grad_cam("LayerCAM", CosineTarget)),
    ("score-cam", "Score-CAM (cosine)", score_cam),
    ("ablation-cam", "Ablation-CAM (cosine)", ablation_cam),
    ("eigen-cam", "EigenCAM", grad_cam("EigenCAM", CosineTarget)),
    ("occlusion", "Occlusion", occlusion),
    ("segment-ablation", "Segment ablation", segment_ablation),
    ("activation-sum", "Sum of activations", activation_sum),
    ("centred-gaussian", "Centred Gaussian", centred_gaussian),
    ("random", "Random", random_map),
)
_GIVEN_MASKS = ("segment-ablation",)
_GRADIENT = ("grad-cam-cosine", "grad-cam-dot", "grad-cam-plus-plus", "layer-cam")
_FLOORS = ("activation-sum", "centred-gaussian", "random")

ATTRIBUTIONS: dict[str, Attribution] = {
    name: Attribution(
        name=name,
        title=title,
        given_masks=name in _GIVEN_MASKS,
        gradient=name in _GRADIENT,
        floor=name in _FLOORS,
        attribute=attribute,
    )
    for name, title, attribute in _METHODS
}
