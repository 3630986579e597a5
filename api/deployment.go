package api

// Deployment is a change of an app on its way: GET /v2/deployments.
type Deployment struct {
	ID             string             `json:"id"`
	Version        string             `json:"version"`
	AffectedApps   []string           `json:"affectedApps"`
	AffectedPods   []string           `json:"affectedPods"`
	Steps          []DeploymentStep   `json:"steps"`
	CurrentActions []DeploymentAction `json:"currentActions"`
	CurrentStep    int                `json:"currentStep"` // from 1
	TotalSteps     int                `json:"totalSteps"`
}

// DeploymentStep is actions that are taken together.
type DeploymentStep struct {
	Actions []DeploymentAction `json:"actions"`
}

// DeploymentAction is StartApplication, ScaleApplication, RestartApplication or
// StopApplication of one app.
type DeploymentAction struct {
	Action string `json:"action"`
	App    string `json:"app"`
}

// QueueItem is an app with instances that wait for a place or for their
// back-off: GET /v2/queue.
type QueueItem struct {
	App                    App             `json:"app"`
	Count                  int             `json:"count"`
	Role                   string          `json:"role"`
	Delay                  QueueDelay      `json:"delay"`
	Since                  string          `json:"since"`
	ProcessedOffersSummary ProcessedOffers `json:"processedOffersSummary"`
	LastUnusedOffers       []UnusedOffer   `json:"lastUnusedOffers,omitempty"`
}

// QueueDelay is how long a back-off still lasts; Overdue when it has ended.
type QueueDelay struct {
	TimeLeftSeconds int  `json:"timeLeftSeconds"`
	Overdue         bool `json:"overdue"`
}

// ProcessedOffers counts, in Marathon's words, the nodes looked at.
type ProcessedOffers struct {
	ProcessedOffersCount    int            `json:"processedOffersCount"`
	UnusedOffersCount       int            `json:"unusedOffersCount"`
	LastUnusedOfferAt       string         `json:"lastUnusedOfferAt,omitempty"`
	RejectSummaryLastOffers []RejectReason `json:"rejectSummaryLastOffers"`
}

// RejectReason says how many of the nodes looked at were declined for a reason.
type RejectReason struct {
	Reason    string `json:"reason"` // InsufficientCpus …
	Declined  int    `json:"declined"`
	Processed int    `json:"processed"`
}

// UnusedOffer is one node and why it was not taken.
type UnusedOffer struct {
	Hostname string   `json:"hostname"`
	Reason   []string `json:"reason"`
}
