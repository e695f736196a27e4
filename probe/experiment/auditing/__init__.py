"""Audits of pictures, labels and counts that no run made."""

from probe.experiment.auditing.audit import Audit, AuditSettings, audit_counts, audit_source

__all__ = ["Audit", "AuditSettings", "audit_counts", "audit_source"]
