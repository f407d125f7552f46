"""Every refusal of the service, with the stable code that callers rely on and the HTTP status it becomes.

    ServiceError
    |- RequestError                 the caller can mend it (4xx)
    |  |- MalformedRequest          400 malformed_request
    |  |- Unauthorized              401 unauthorized
    |  |- Forbidden                 403 forbidden
    |  |- ForeignRequest            403 foreign_request (without keys: admin routes, and what was judged)
    |  |- CrossSiteRequest          403 cross_site_request (a session cookie without its proofs)
    |  |- ProductNotFound           404 product_not_found
    |  |- VersionNotFound           404 version_not_found
    |  |- VerdictNotFound           404 verdict_not_found
    |  |- PictureNotKept            404 picture_not_kept
    |  |- ReviewNotFound            404 review_not_found
    |  |- AlreadyReviewed           409 already_reviewed
    |  |- VersionGone               409 version_gone
    |  |- DefectGroupNotFound       404 defect_group_not_found
    |  |- RecalibrationNotFound     404 recalibration_not_found
    |  |- RecalibrationRunning      409 recalibration_running
    |  |- RecalibrationNotReady     409 recalibration_not_ready
    |  |- RecalibrationStale        409 recalibration_stale
    |  |- PictureGone               410 picture_gone
    |  |- ProductRequired           422 product_required
    |  |- RateNotPromised           422 rate_not_promised
    |  |- TooFewPictures            422 too_few_pictures (a training)
    |  |- NoImages                  422 no_images
    |  |- TooManyImages             413 too_many_images
    |  |- BodyTooLarge              413 body_too_large
    |  |- BodyTooSlow               408 body_too_slow
    |  |- UnsupportedBody           415 unsupported_body
    |  |- ArtifactRefused           409 artifact_refused (admin routes)
    |  |- TrainingNotFound          404 training_not_found
    |  |- TrainingRunning           409 training_running
    |  |- TrainingRefused           409 training_refused
    |  `- TrainingNotReady          409 training_not_ready
    |- Overloaded                   429 overloaded, with Retry-After
    |- NotReady                     503 not_ready, with Retry-After
    |- ShuttingDown                 503 shutting_down, with Retry-After
    |- TrainingsOff                 503 trainings_off
    |- DiskFull                     507 disk_full
    |- FormNotAvailable             501 form_not_available
    |- FeedbackOff                  503 feedback_off
    |- FeedbackUnavailable          503 feedback_unavailable, with Retry-After
    |- DeadlineExceeded             504 deadline_exceeded
    |- InferenceFailed              500 inference_failed
    `- RequestCancelled             499 client_closed_request (logged and counted, never sent)

An image that cannot be read is not an error of the request: it becomes the `error` of its own entry, with a code of
`models.imaging.decode.ImageError`. This module imports nothing of the web framework, so the engine can raise its
errors.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A refusal with a stable `code`, an HTTP `status`, a `title`, and a `detail` saying what would be right."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after  # seconds; sent as the header Retry-After, rounded up


class RequestError(ServiceError):
    """The caller can mend it."""


class MalformedRequest(RequestError):
    code, status, title = "malformed_request", 400, "The request cannot be read"


class Unauthorized(RequestError):
    code, status, title = "unauthorized", 401, "A valid API key is needed"


class Forbidden(RequestError):
    code, status, title = "forbidden", 403, "The API key does not cover this call"


class ForeignRequest(RequestError):
    code, status, title = "foreign_request", 403, "Without API keys this is for this machine's own address"


class CrossSiteRequest(RequestError):
    code, status, title = "cross_site_request", 403, "The request does not come from the service's own page"


class ProductNotFound(RequestError):
    code, status, title = "product_not_found", 404, "No such product"


class VersionNotFound(RequestError):
    code, status, title = "version_not_found", 404, "No such version of the product"


class VerdictNotFound(RequestError):
    code, status, title = "verdict_not_found", 404, "No such verdict in the feedback store"


class PictureNotKept(RequestError):
    code, status, title = "picture_not_kept", 404, "The picture of this verdict was not kept"


class ReviewNotFound(RequestError):
    code, status, title = "review_not_found", 404, "No such review"


class AlreadyReviewed(RequestError):
    code, status, title = "already_reviewed", 409, "This reviewer has judged the part already"


class VersionGone(RequestError):
    code, status, title = "version_gone", 409, "The version that judged is not loaded any more"


class DefectGroupNotFound(RequestError):
    code, status, title = "defect_group_not_found", 404, "No such group of recurring defects"


class RecalibrationNotFound(RequestError):
    code, status, title = "recalibration_not_found", 404, "No such recalibration of the product"


class RecalibrationRunning(RequestError):
    code, status, title = "recalibration_running", 409, "A recalibration of the product runs"


class RecalibrationNotReady(RequestError):
    code, status, title = "recalibration_not_ready", 409, "This recalibration cannot be applied"


class RecalibrationStale(RequestError):
    code, status, title = "recalibration_stale", 409, "What the recalibration rests on has changed"


class PictureGone(RequestError):
    code, status, title = "picture_gone", 410, "The picture was removed to make room"


class ProductRequired(RequestError):
    code, status, title = "product_required", 422, "The product must be named"


class RateNotPromised(RequestError):
    code, status, title = "rate_not_promised", 422, "The calibration cannot promise this false-reject rate"


class NoImages(RequestError):
    code, status, title = "no_images", 422, "The request carries no image"


class TooManyImages(RequestError):
    code, status, title = "too_many_images", 413, "Too many images in one request"


class BodyTooLarge(RequestError):
    code, status, title = "body_too_large", 413, "The body is too large"


class BodyTooSlow(RequestError):
    code, status, title = "body_too_slow", 408, "The body arrived too slowly"


class UnsupportedBody(RequestError):
    code, status, title = "unsupported_body", 415, "This content type is not taken"


class ArtifactRefused(RequestError):
    code, status, title = "artifact_refused", 409, "The artifact was refused; nothing has changed"


class TrainingNotFound(RequestError):
    code, status, title = "training_not_found", 404, "No such training of the product"


class TrainingRunning(RequestError):
    code, status, title = "training_running", 409, "Another training is under way"


class TrainingRefused(RequestError):
    code, status, title = "training_refused", 409, "There is no place for the artifact"


class TrainingNotReady(RequestError):
    code, status, title = "training_not_ready", 409, "The training has nothing to activate"


class TooFewPictures(RequestError):
    code, status, title = "too_few_pictures", 422, "Too few pictures to train on"


class TrainingsOff(ServiceError):
    code, status, title = "trainings_off", 503, "This service trains nothing"


class DiskFull(ServiceError):
    code, status, title = "disk_full", 507, "The disk has no room for it"


class Overloaded(ServiceError):
    code, status, title = "overloaded", 429, "More work is waiting than can be taken"


class NotReady(ServiceError):
    code, status, title = "not_ready", 503, "The service is not ready"


class ShuttingDown(ServiceError):
    code, status, title = "shutting_down", 503, "The service is shutting down"


class FeedbackOff(ServiceError):
    code, status, title = "feedback_off", 503, "The service keeps no feedback store"


class FeedbackUnavailable(ServiceError):
    code, status, title = "feedback_unavailable", 503, "The feedback store cannot be used at present"


class FormNotAvailable(ServiceError):
    code, status, title = "form_not_available", 501, "The service lacks a library for this form"


class DeadlineExceeded(ServiceError):
    code, status, title = "deadline_exceeded", 504, "The answer would come too late"


class InferenceFailed(ServiceError):
    code, status, title = "inference_failed", 500, "The image could not be judged"


class RequestCancelled(ServiceError):
    code, status, title = "client_closed_request", 499, "The client hung up"
